// Ssmresume is the smallest program that calls ResumeSession with this library,
// to compare the size of binaries with.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/ssmresume/ssmresume"
)

func main() {
	client := ssmresume.New(ssmresume.Options{
		Region: os.Args[1],
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}, nil
		}),
	})
	out, err := client.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: os.Args[2]})
	fmt.Println(out != nil, err)
}
