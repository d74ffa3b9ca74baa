package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/ssmresume/ssmresume"
)

// responseVariable is what the names of environment variables begin with that
// hold a response of StartSession.
const responseVariable = "AWS_SSM_START_SESSION_RESPONSE"

// A usageError is the whole message about a command line that is none.
type usageError string

func (e usageError) Error() string { return string(e) }

// A Request is for a session that was started.
type Request struct {
	First    *ssmresume.ResumeSessionOutput
	Region   string      // empty: the session's
	Profile  string      // empty: the environment's
	Target   string      // empty: unknown
	Endpoint string      // of Systems Manager; empty: that of the configuration
	Config   *aws.Config // nil: what Region and Profile lead to

	unsigned error // why there are no credentials; nil: there are
	opened   bool  // the token is used up
}

// parse reads the command line and, for the response, the environment.
func parse(args []string) (*Request, error) {
	if len(args) < 3 {
		operation := args[0]
		if strings.Contains(operation, "{") {
			operation = "(a response)" // it holds a token
		}
		return nil, usageError(fmt.Sprintf("\nUnknown operation %s. \nUse session-manager-plugin --version to check the version.\n\n", operation))
	}
	if args[2] != "StartSession" {
		return nil, usageError("Invalid Operation\n")
	}
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	r := &Request{Region: args[1], Profile: arg(3)}
	var err error
	if r.First, err = parseResponse(args[0]); err != nil {
		return nil, err
	}
	if parameters := arg(4); parameters != "" {
		var p struct{ Target string }
		if err := json.Unmarshal([]byte(parameters), &p); err != nil {
			return nil, fmt.Errorf("the parameters of StartSession: %w", err)
		}
		r.Target = p.Target
	}
	r.Endpoint = arg(5)
	return r, nil
}

func parseResponse(text string) (*ssmresume.ResumeSessionOutput, error) {
	if name := text; strings.HasPrefix(name, responseVariable) {
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("the environment variable %s, which should hold the response of StartSession, is not set", name)
		}
		os.Unsetenv(name) // a credential process has no use for it
		text = value
	}
	var response struct{ SessionID, TokenValue, StreamURL string } // in capitals or, from ECS, not
	err := json.Unmarshal([]byte(text), &response)
	if wrongType := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrongType) {
		err = errors.New("it must be an object of strings") // the package's error may hold the value
	}
	if err != nil {
		return nil, fmt.Errorf("the response of StartSession: %w", err)
	}
	switch "" {
	case response.SessionID:
		return nil, errors.New("the response of StartSession: there is no SessionId in it")
	case response.TokenValue:
		return nil, errors.New("the response of StartSession: there is no TokenValue in it")
	case response.StreamURL:
		return nil, errors.New("the response of StartSession: there is no StreamUrl in it")
	}
	first, err := ssmresume.NewOutput(response.SessionID, response.TokenValue, response.StreamURL)
	if err != nil {
		return nil, fmt.Errorf("the response of StartSession: %w", err)
	}
	return first, nil
}

// parseEndpoint returns the endpoint, or nothing where it cannot be one of
// Systems Manager's.
func parseEndpoint(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "" // such as a StreamUrl
	}
	for label := range strings.SplitSeq(u.Hostname(), ".") { // also of a VPC endpoint
		switch label {
		case "ecs", "ecs-fips", "ssmmessages", "ssmmessages-fips":
			return ""
		}
	}
	return s
}
