module github.com/ssmresume/ssmresume/datachannel

go 1.26.0

require (
	github.com/aws/aws-sdk-go-v2 v1.48.0
	github.com/coder/websocket v1.8.15
	github.com/google/go-cmp v0.7.0
	github.com/ssmresume/ssmresume v0.1.0
	github.com/xtaci/smux v1.5.58
)

require github.com/aws/smithy-go v1.28.9 // indirect
