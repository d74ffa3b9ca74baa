// Nethttp is the smallest program that makes an https POST, to compare the size
// of binaries with.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	resp, err := http.Post(os.Args[1], "application/x-amz-json-1.1", strings.NewReader(`{"SessionId":"`+os.Args[2]+`"}`))
	fmt.Println(resp != nil, err)
}
