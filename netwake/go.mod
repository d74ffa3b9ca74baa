module github.com/ssmresume/ssmresume/netwake

go 1.26.0

require github.com/ssmresume/ssmresume v0.1.0

require (
	github.com/aws/aws-sdk-go-v2 v1.22.1 // indirect
	github.com/aws/smithy-go v1.16.0 // indirect
)
