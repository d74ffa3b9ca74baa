package bench

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// TestEndpointServesTheSDK shows that the SDK's own client takes the test
// endpoint for Systems Manager.
func TestEndpointServesTheSDK(t *testing.T) {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.AddSession(sessionID)
	client := ssm.NewFromConfig(srv.Config())
	out, err := client.ResumeSession(t.Context(), &ssm.ResumeSessionInput{SessionId: aws.String(sessionID)})
	if err != nil || aws.ToString(out.TokenValue) != srv.LastToken(sessionID) {
		t.Errorf("%v, %v", out, err)
	}
	srv.Terminate(sessionID)
	_, err = client.ResumeSession(t.Context(), &ssm.ResumeSessionInput{SessionId: aws.String(sessionID)})
	var gone *types.DoesNotExistException
	if !errors.As(err, &gone) || gone.ErrorMessage() == "" {
		t.Error(err)
	}
}
