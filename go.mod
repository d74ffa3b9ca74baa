module github.com/ssmresume/ssmresume

go 1.26.0

require (
	github.com/aws/aws-sdk-go-v2 v1.22.1
	github.com/aws/smithy-go v1.16.0
)

require github.com/google/go-cmp v0.7.0
