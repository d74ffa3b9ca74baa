// Resume-session does what "aws ssm resume-session" of the AWS CLI (version 1)
// does, without Python and without the AWS SDK's package for Systems Manager.
// It prints the fresh token and stream URL of a session whose data channel is
// disconnected.
//
//	resume-session --session-id Mary-Major-07a16060613c408b5
//
// The options are --session-id, --cli-input-json, --generate-cli-skeleton and,
// of the CLI's global ones, --region, --profile, --endpoint-url,
// --no-sign-request, --output (json or text) and --query. Standard output, exit
// status and the line about a service error are the CLI's.
//
// With --local it resumes the session at a test endpoint inside the program. It
// then looks at no AWS setting of the machine, nor at --region, --profile,
// --endpoint-url and --no-sign-request:
//
//	go run ./resume-session --local --session-id Mary-Major-07a16060613c408b5
//
// Whoever has the token has the session. It goes to standard output because the
// CLI prints it there: pipe it, and keep it out of logs.
//
// # Better than the CLI
//
// An answer without a token, which means that the session has ended, and one
// that is not the service's, such as a proxy's page, exit with status 255 and
// say so; the CLI exits with 0 and prints what there is. An AWS_DEFAULT_OUTPUT
// that is not known is refused before the call, which would make the previous
// token useless. Control characters, in a service's message or in its answer,
// cannot reach the terminal: JSON has them as \u001b, text as \x1b. A query that
// fails says so without repeating the token. Where a login is over,
// the command to log in again is named.
//
// # Other than the CLI
//
// Settings and credentials are found by the AWS SDK for Go: AWS_REGION counts
// too, credentials that lack a half are passed over, the retry mode "legacy" is
// unknown, and a profile's output setting is not read. A call makes 3 attempts
// of at most 10 seconds each, the CLI 5 of at most 60; AWS_MAX_ATTEMPTS and the
// profile's max_attempts change the number. A --session-id that begins with
// http:// is not fetched from there. --query is JMESPath Community, which has
// more functions, slices strings, makes objects and lists of null, and prints
// 1.0 as 1. There is no --output table.
package main

//lint:file-ignore ST1005 the texts of the errors are the AWS CLI's

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/smithy-go"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/examples/internal/awsconfig"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run returns the exit status: 0, 2 for a command line that cannot be parsed,
// 130 after an interrupt, 255 for everything else, as in version 1 of the CLI.
func run(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := command(ctx, argv, stdout, awsconfig.User{Asked: stderr, Answers: stdin})
	var usageErr *usageError
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stdout)
		return 130
	case errors.As(err, &usageErr):
		fmt.Fprint(stderr, usage, printable(usageErr.message), "\n")
		return usageErr.status
	}
	fmt.Fprint(stderr, printable(explain(err)), "\n")
	return 255
}

func command(ctx context.Context, argv []string, stdout io.Writer, user awsconfig.User) error {
	a, err := parseArgs(argv)
	if err != nil {
		return err
	}
	if a.help {
		_, err := io.WriteString(stdout, usage)
		return err
	}
	p, err := newPrinter(a)
	if err != nil {
		return err
	}
	params, err := a.parameters()
	if err != nil {
		return err
	}
	if a.skeleton.value == "input" {
		_, err := io.WriteString(stdout, "{\n    \"SessionId\": \"\"\n}\n")
		return err
	}
	sessionID, err := validate(params)
	if err != nil {
		return err
	}

	var cfg aws.Config
	if a.local.set {
		srv := ssmresumetest.NewServer()
		defer srv.Close()
		srv.AddSession(sessionID)
		cfg = srv.Config()
	} else if cfg, err = loadConfig(ctx, a, user); err != nil {
		return err
	}
	if a.skeleton.value == "output" {
		return p.print(stdout, "SessionId", "TokenValue", "StreamUrl")
	}

	if !a.noSignRequest.set && !a.local.set {
		if err := checkCredentials(ctx, cfg); err != nil {
			return err
		}
		cfg.Credentials = user.Reload(cfg, a.settings()...)
	}
	client := ssmresume.NewFromConfig(cfg, func(o *ssmresume.Options) {
		if a.endpointURL.set && !a.local.set {
			o.BaseEndpoint = &a.endpointURL.value
		}
	})
	out, err := client.ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: sessionID})
	if err != nil {
		return err
	}
	return p.print(stdout, out.SessionID, out.TokenValue.Reveal(), out.StreamURL.DialURL())
}

var (
	errNoRegion      = errors.New(`You must specify a region. You can also configure your region by running "aws configure".`)
	errNoCredentials = errors.New(`Unable to locate credentials. You can configure credentials by running "aws configure".`)
)

func (a *args) settings() []func(*config.LoadOptions) error {
	settings := []func(*config.LoadOptions) error{
		config.WithRegion(a.region.value), // an empty value means the environment's, or the profile's
		config.WithSharedConfigProfile(a.profile.value),
	}
	if a.noSignRequest.set {
		settings = append(settings, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	return settings
}

func loadConfig(ctx context.Context, a *args, user awsconfig.User) (aws.Config, error) {
	cfg, err := user.Load(ctx, a.settings()...)
	if err == nil && cfg.Region == "" {
		err = errNoRegion
	}
	return cfg, err
}

// A loginError is that of a login that is over.
type loginError struct {
	command string
	err     error
}

func (e *loginError) Error() string {
	return "The login of this profile has expired or is otherwise invalid. To log in again run: " + e.command + "\n" + e.err.Error()
}

func (e *loginError) Unwrap() error { return e.err }

// checkCredentials costs nothing: the SDK caches what it finds.
func checkCredentials(ctx context.Context, cfg aws.Config) error {
	_, err := cfg.Credentials.Retrieve(ctx)
	// The instance's role is what the SDK tries when nothing else is set.
	if err != nil && aws.IsCredentialsProvider(cfg.Credentials, (*ec2rolecreds.Provider)(nil)) {
		return errNoCredentials
	}
	if login := awsconfig.LoginCommand(cfg, err); login != "" {
		return &loginError{login, err}
	}
	return err
}

// explain words an error as the CLI does, which puts an empty line before all
// but two. The errors that this program makes have the CLI's words already,
// capital letters and all.
func explain(err error) string {
	var (
		noProfile config.SharedConfigProfileNotExistError
		timedOut  *ssmresume.SessionTimedOutError
		loginErr  *loginError
		apiErr    smithy.APIError
		urlErr    *url.Error
		netErr    *net.OpError
	)
	switch {
	case errors.Is(err, errNoRegion), errors.Is(err, errNoCredentials):
		return err.Error()
	case errors.As(err, &noProfile):
		return fmt.Sprintf("\nThe config profile (%s) could not be found", noProfile.Profile)
	case errors.As(err, &timedOut): // not an error of the service: it answered with status 200
		return "\n" + timedOut.ErrorMessage()
	case errors.As(err, &loginErr):
		return "\n" + loginErr.Error()
	case errors.As(err, &apiErr):
		return "\n" + explainAPIError(err, apiErr)
	case errors.As(err, &urlErr) && errors.As(err, &netErr) && netErr.Op == "dial":
		return fmt.Sprintf("\nCould not connect to the endpoint URL: %q", urlErr.URL)
	}
	return "\n" + err.Error()
}

func explainAPIError(err error, apiErr smithy.APIError) string {
	const unknown = "UnknownError" // what the SDK puts where the service sent nothing
	code, message := apiErr.ErrorCode(), apiErr.ErrorMessage()
	if message == unknown {
		message = ""
	}
	if respErr := (*awshttp.ResponseError)(nil); code == unknown && errors.As(err, &respErr) {
		status := respErr.HTTPStatusCode()
		code = strconv.Itoa(status)
		switch {
		case status >= 500:
			message = http.StatusText(status)
		case respErr.Response.ContentLength == 0:
			message = ""
		}
	}
	operation := "ResumeSession"
	if opErr := (*smithy.OperationError)(nil); errors.As(err, &opErr) {
		operation = opErr.OperationName // AssumeRole, say, where the keys come from
	}
	var retries string
	if maxErr := (*retry.MaxAttemptsError)(nil); errors.As(err, &maxErr) {
		retries = fmt.Sprintf(" (reached max retries: %d)", maxErr.Attempt-1)
	}
	return fmt.Sprintf("An error occurred (%s) when calling the %s operation%s: %s", code, operation, retries, message)
}

// printable escapes what could move the cursor, recolour or reorder the text of
// a terminal. Messages of several lines stay so.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
