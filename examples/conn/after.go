package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/datachannel"
)

func dialAfter(ctx context.Context, cfg aws.Config, started *ssm.StartSessionOutput) (*datachannel.Conn, error) {
	first, err := ssmresume.NewOutput(*started.SessionId, *started.TokenValue, *started.StreamUrl)
	if err != nil {
		return nil, err
	}
	return datachannel.Dial(ctx, ssmresume.NewFromConfig(cfg), first)
}
