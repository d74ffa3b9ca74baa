// First is the smallest program that resumes a session.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/ssmresume/ssmresume"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: first SESSION-ID")
	}
	ctx := context.Background()
	cfg, err := load(ctx)
	if err != nil {
		log.Fatal(err)
	}
	cfg.Credentials = ssmresume.ReloadCredentials(func(ctx context.Context) (aws.CredentialsProvider, error) {
		cfg, err := load(ctx) // again when AWS has refused the keys: another program may have renewed them
		return cfg.Credentials, err
	})
	client := ssmresume.NewFromConfig(cfg)
	out, err := client.ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.SessionID, out.TokenValue, out.StreamURL) // prints the token as [redacted], and the URL without its query
}

func load(ctx context.Context) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx, config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
		o.TokenProvider = stscreds.StdinTokenProvider // asks for the code, if the profile has an MFA device
	}))
}
