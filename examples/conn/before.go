package main

import (
	"context"
	"crypto/rand"

	"github.com/aws/aws-sdk-go-v2/service/ssm"
	smithyrand "github.com/aws/smithy-go/rand"
	"github.com/gorilla/websocket"
)

func dialBefore(ctx context.Context, started *ssm.StartSessionOutput) (*websocket.Conn, error) {
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, *started.StreamUrl, nil)
	if err != nil {
		return nil, err
	}
	clientID, _ := smithyrand.NewUUID(rand.Reader).GetUUID()
	requestID, _ := smithyrand.NewUUID(rand.Reader).GetUUID()
	err = conn.WriteJSON(map[string]string{
		"MessageSchemaVersion": "1.0",
		"RequestId":            requestID,
		"TokenValue":           *started.TokenValue,
		"ClientId":             clientID,
		"ClientVersion":        "1.2.0.0",
	})
	return conn, err
}
