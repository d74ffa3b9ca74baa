package main

import (
	"context"
	"errors"
	"io"
)

func attachLocal(context.Context, options, io.Writer) (int, error) {
	return 0, errors.New("--local needs a pseudo-terminal, which it makes on Unix only: go run ./reconnect shows an outage here, too")
}
