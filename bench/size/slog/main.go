// Slog is size/nethttp with a logger that nobody sets, to see what of a larger
// binary log/slog has brought, and the encoding/json in it.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
)

var logger *slog.Logger

func main() {
	resp, err := http.Post(os.Args[1], "application/x-amz-json-1.1", strings.NewReader(`{"SessionId":"`+os.Args[2]+`"}`))
	if logger != nil {
		logger.LogAttrs(context.Background(), slog.LevelDebug, "posted")
	}
	fmt.Println(resp != nil, err)
}
