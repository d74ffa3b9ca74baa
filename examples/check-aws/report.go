package main

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/examples/internal/awsconfig"
)

var errNoRegion = errors.New("no Region is set")

// advise says what to do about err.
func (c *check) advise(err error) string {
	var (
		noProfile config.SharedConfigProfileNotExistError
		denied    *ssmresume.AccessDeniedError
		keys      *ssmresume.CredentialsError
		signature *ssmresume.SignatureError
		throttled *ssmresume.ThrottlingError
		invalid   *ssmresume.ValidationError
		unsent    *smithyhttp.RequestSendError
		lost      *lostError
	)
	login, _, _ := strings.Cut(awsconfig.LoginCommand(c.cfg, err), " --profile")
	switch {
	case errors.Is(err, errNoRegion):
		return "Give --region, or set AWS_REGION or the profile's region"
	case errors.As(err, &noProfile):
		return "aws configure list-profiles lists the profiles"
	case login != "":
		return "Log in again: " + login
	case c.cfg.Credentials != nil && c.client == nil && aws.IsCredentialsProvider(c.cfg.Credentials, (*ec2rolecreds.Provider)(nil)):
		return "No credentials are set: set AWS_PROFILE or --profile, or run aws configure"
	case c.client == nil:
		return "Does aws sts get-caller-identity work?"
	case errors.Is(err, ssmresume.ErrSessionGone):
		return "Has it ended, or is it in another account or Region? A shell's session lives on where its window was closed, and ends by exit. Start a new one for this check"
	case errors.As(err, &denied):
		return "The credentials need ssm:ResumeSession for the session; a session is resumed only under the name that started it"
	case errors.As(err, &keys):
		return "Log in again, or set new credentials"
	case errors.As(err, &signature):
		return "Is the clock right, and the secret key?"
	case errors.As(err, &throttled):
		return "Try again in a minute"
	case errors.As(err, &invalid):
		return "Is this a session's ID, and the endpoint Systems Manager's?"
	case errors.As(err, &unsent):
		return "Is there a network, or a proxy to be set?"
	case errors.As(err, &lost):
		return "Is somebody else still connected to this session?"
	}
	return ""
}

const (
	modulePath      = "github.com/ssmresume/ssmresume"
	datachannelPath = modulePath + "/datachannel"
	examplesPath    = modulePath + "/examples"
)

// versions are those that the program was built from.
func versions() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	found := map[string]string{info.Main.Path: info.Main.Version}
	for _, dep := range info.Deps {
		found[dep.Path] = dep.Version
		if dep.Replace != nil {
			found[dep.Path] += " replaced" // its path is not for a report
		}
	}
	text := fmt.Sprintf("examples %s, datachannel %s, ssmresume %s",
		cmp.Or(found[examplesPath], "unknown"), cmp.Or(found[datachannelPath], "unknown"), cmp.Or(found[modulePath], "unknown"))
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			text += ", commit " + s.Value[:min(12, len(s.Value))]
		}
	}
	return text
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// report is Markdown.
func (c *check) report() string {
	var b strings.Builder
	verdict := "passed"
	for _, s := range c.steps {
		if s.failed {
			verdict = "failed at " + s.name
		}
	}
	fmt.Fprintf(&b, "### check-aws: %s\n\n", verdict)
	fmt.Fprintf(&b, "- built from: %s\n- %s %s/%s\n- session: `%s`\n", versions(), runtime.Version(), runtime.GOOS, runtime.GOARCH, c.mask.shown)
	fmt.Fprintf(&b, "- %s, hold %v, drop %v, enter %v\n\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), c.options.hold, !c.options.noDrop, c.options.enter)
	b.WriteString("| step | outcome | time | what |\n|---|---|---|---|\n")
	for _, s := range c.steps {
		outcome := "ok"
		switch {
		case !s.done:
			outcome = "not reached"
		case s.failed:
			outcome = "**failed**"
		}
		took := ""
		if s.done {
			took = round(s.took).String()
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.name, outcome, took, cell(s.result))
	}
	b.WriteString("\nDiffers from what the library takes for granted, in the steps that were reached:\n\n")
	if len(c.differs) == 0 {
		b.WriteString("- nothing\n")
	}
	for _, d := range c.differs {
		fmt.Fprintf(&b, "- %s\n", cell(d))
	}
	return b.String()
}

// cell is for Markdown, in which nothing of a foreign text may be markup.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, ">", `\>`, "`", "'", "@", "(at)", "[", `\[`, "#", `\#`).Replace(s)
}
