// Package ssmresume resumes disconnected AWS Systems Manager Session Manager
// sessions.
//
// Systems Manager closes the data channel of a session about once an hour, and
// whenever the network fails. [Client.ResumeSession] trades the session ID for
// a fresh [Token] and the [StreamURL] of the session's data channel, so that
// the client can dial again and go on where it was.
//
//	cfg, err := config.LoadDefaultConfig(ctx) // github.com/aws/aws-sdk-go-v2/config
//	client := ssmresume.NewFromConfig(cfg)
//	out, err := client.ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: id})
//
// Programs are tested against package
// [github.com/ssmresume/ssmresume/ssmresumetest], an SSM endpoint in the test
// process.
//
// # Errors
//
// Errors have the layers of the AWS SDK for Go, so code written for the SDK
// works unchanged: *smithy.OperationError, then *http.ResponseError of
// aws/transport/http where there was an answer, then one of the types of this
// package. Look for them with errors.As:
//
//   - [DoesNotExistError] and [SessionTimedOutError]: the session is gone,
//     start a new one.
//   - [AccessDeniedError]: IAM refuses, a person must act.
//   - [CredentialsError]: fetch new credentials. The call has already tried.
//   - [SignatureError]: the clock or the secret key is wrong.
//   - [ThrottlingError] and [InternalServerError]: try again later.
//   - [ValidationError]: the request is wrong.
//   - *smithy.GenericAPIError: any other code of the service.
//   - *smithyhttp.RequestSendError: no complete answer came.
//   - *smithy.DeserializationError: the answer was not one of the service's.
//   - *smithy.InvalidParamsError: the input was wrong, nothing was sent.
//   - *smithy.CanceledError or *aws.RequestCanceledError: ctx ended.
//
// # Secrets
//
// Whoever holds a session's token holds the session. No value of this package
// prints a secret, in whatever way it is printed or encoded; the ways out are
// [Token.Reveal] and [StreamURL.DialURL].
//
// # Limits
//
// The package does not start or end sessions, does not open the WebSocket and
// does not speak the agent's protocol.
package ssmresume
