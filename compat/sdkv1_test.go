package compat

//lint:file-ignore SA1019 for those who still have the SDK v1

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"

	"github.com/ssmresume/ssmresume"
)

// V1 gives ssmresume the credentials of a program on the SDK v1.
type V1 struct{ *credentials.Credentials }

func (c V1) Retrieve(ctx context.Context) (aws.Credentials, error) {
	v, err := c.GetWithContext(ctx)
	expires, never := c.ExpiresAt()
	return aws.Credentials{AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken,
		Source: v.ProviderName, CanExpire: never == nil, Expires: expires}, err
}

func (c V1) Invalidate() { c.Expire() } // called where AWS has refused them

func newFromSession(s *session.Session) *ssmresume.Client {
	return ssmresume.New(ssmresume.Options{
		Region:      *s.Config.Region,
		Credentials: V1{s.Config.Credentials},
	})
}

// TestV1Session: what a session of the SDK v1 has found is enough.
func TestV1Session(t *testing.T) {
	srv, _ := home(t, map[string]string{
		"config":      "[profile ana]\nregion = us-east-2\n",
		"credentials": "[ana]\naws_access_key_id = ASIAFRESH\naws_secret_access_key = new\naws_session_token = newtoken\n",
	})
	t.Setenv("AWS_REGION", "")
	s, err := session.NewSessionWithOptions(session.Options{Profile: "ana", SharedConfigState: session.SharedConfigEnable})
	if err != nil {
		t.Fatal(err)
	}
	client := newFromSession(s)
	in := &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"}
	if _, err := client.ResumeSession(t.Context(), in, func(o *ssmresume.Options) { o.BaseEndpoint = aws.String(srv.URL()) }); err != nil {
		t.Error(err)
	}
}

// A v1Provider gives lapsed keys first, and fresh ones from then on.
type v1Provider struct {
	credentials.Expiry
	retrieved int
	err       error
}

func (p *v1Provider) Retrieve() (credentials.Value, error) {
	p.retrieved++
	keys := fresh
	if p.retrieved == 1 {
		keys = lapsed
	}
	p.SetExpiration(time.Now().Add(time.Hour), 0)
	return credentials.Value{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken, ProviderName: "ana"}, p.err
}

// TestV1Renewed: keys that AWS refuses before their time are forgotten.
func TestV1Renewed(t *testing.T) {
	srv, _ := home(t, nil)
	p := &v1Provider{}
	v1 := V1{credentials.NewCredentials(p)}
	client := ssmresume.New(ssmresume.Options{Region: "us-east-2", BaseEndpoint: aws.String(srv.URL()), Credentials: v1})
	if _, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"}); err != nil {
		t.Error(err)
	}
	if p.retrieved != 2 {
		t.Errorf("the provider was asked %d times, want 2", p.retrieved)
	}
	keys, err := v1.Retrieve(t.Context())
	if left := time.Until(keys.Expires); err != nil || !keys.CanExpire || left < 50*time.Minute || left > time.Hour || keys.Source != "ana" {
		t.Errorf("%v, %v until %v of %q", err, keys.CanExpire, keys.Expires, keys.Source)
	}
}

func TestV1Errors(t *testing.T) {
	srv, _ := home(t, nil)
	p := &v1Provider{err: errors.New("log in again")}
	client := ssmresume.New(ssmresume.Options{Region: "us-east-2", BaseEndpoint: aws.String(srv.URL()), Credentials: V1{credentials.NewCredentials(p)}})
	if _, err := client.ResumeSession(t.Context(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"}); !errors.Is(err, p.err) {
		t.Error(err)
	}
	keys, err := V1{credentials.NewStaticCredentials("a", "b", "")}.Retrieve(t.Context())
	if err != nil || keys.CanExpire || keys.AccessKeyID != "a" {
		t.Errorf("%v, %v", err, keys.CanExpire)
	}
}
