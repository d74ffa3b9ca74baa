// First is the smallest program that resumes a session.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/ssmresume/ssmresume"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: first SESSION-ID")
	}
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	client := ssmresume.NewFromConfig(cfg)
	out, err := client.ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.SessionID, out.TokenValue, out.StreamURL) // prints the token as [redacted], and the URL without its query
}
