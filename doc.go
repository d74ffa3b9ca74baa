// Package ssmresume resumes disconnected AWS Systems Manager Session Manager
// sessions.
//
// Systems Manager closes the data channel of a session about once an hour, and
// whenever the network fails. The session itself lives on: one API call,
// ResumeSession, trades its ID for a fresh [Token] and the [StreamURL] of its
// data channel, so that the client can dial again and go on where it was.
//
// Most programs need only package
// [github.com/ssmresume/ssmresume/datachannel], which is a whole client for a
// session: it does all that follows, and keeps what is under way. This package is
// for programs that have a client of their own.
//
// # One call
//
// [Client.ResumeSession] makes it:
//
//	cfg, err := config.LoadDefaultConfig(ctx) // github.com/aws/aws-sdk-go-v2/config
//	...
//	client := ssmresume.NewFromConfig(cfg)
//	out, err := client.ResumeSession(ctx, &ssmresume.ResumeSessionInput{SessionID: id})
//
// # A session kept alive
//
// A [Reconnector] repeats the call until the session is back or gone for good,
// however long the network is away:
//
//	rc := ssmresume.NewReconnector(client, id, func(o *ssmresume.ReconnectorOptions) { // once per session
//		o.First = first // what StartSession answered, if it has just been started
//		o.OnWait = func(w ssmresume.Wait) { log.Print(w.Err) }
//	})
//	for {
//		out, err := rc.Resume(ctx)
//		if err != nil {
//			return err // errors.Is(err, ErrSessionGone), trying again cannot help, or ctx ended
//		}
//		err = serve(ctx, out) // dial, open, run until the WebSocket drops
//		if isFinal(err) {
//			return err // the handshake was refused with 401 or 403, or the session was ended
//		}
//	}
//
// # The data channel
//
// The package does not open the WebSocket, but it makes what opening needs:
// [Client.HandshakeHeader], [Client.HandshakeClient] and
// [ResumeSessionOutput.OpenMessage]. With github.com/coder/websocket, as
// examples/first does it:
//
//	header, err := client.HandshakeHeader(ctx, out.StreamURL)
//	if err != nil {
//		return nil, err
//	}
//	message, err := out.OpenMessage(clientID)
//	if err != nil {
//		return nil, err
//	}
//	conn, resp, err := websocket.Dial(ctx, out.StreamURL.DialURL(), &websocket.DialOptions{
//		HTTPClient: client.HandshakeClient(),
//		HTTPHeader: header,
//	})
//	if resp != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
//		return nil, fmt.Errorf("%w: %s", errRefused, resp.Status)
//	}
//	...
//	if err := conn.Write(ctx, websocket.MessageText, message); err != nil {
//		conn.CloseNow()
//		return nil, err
//	}
//
// Another HTTP client must refuse redirects, too. The previous token stops
// working when a new one is issued.
//
// # Tests
//
// Package [github.com/ssmresume/ssmresume/ssmresumetest] is a Systems Manager
// endpoint in the test process, which verifies signatures and fails as you order:
//
//	srv := ssmresumetest.NewServer()
//	defer srv.Close()
//	client := ssmresume.NewFromConfig(srv.Config())
//
// # Errors
//
// Errors have the layers of the AWS SDK for Go, so code that looks for them or
// for [smithy.APIError] works unchanged: [*smithy.OperationError], then
// [*awshttp.ResponseError] where there was an answer, then one of the types of
// this package. These embed [APIError], with the Code and Message of the wire; a
// Code is "UnknownError" where the wire had none. Look for them with errors.As:
//
//   - [DoesNotExistError] and [SessionTimedOutError]: the session is gone,
//     start a new one. errors.Is finds [ErrSessionGone] in both.
//   - [AccessDeniedError]: IAM refuses, a person must act.
//   - [CredentialsError]: fetch new credentials. The call has already tried.
//   - [SignatureError]: the clock or the secret key is wrong.
//   - [ThrottlingError] and [InternalServerError]: try again later.
//   - [ValidationError]: the request is wrong.
//   - [*smithy.GenericAPIError]: any other code of the service.
//   - [*smithyhttp.RequestSendError]: no complete answer came.
//   - [*smithy.DeserializationError]: the answer was not one of the service's.
//   - [*smithy.InvalidParamsError]: the input was wrong, nothing was sent.
//   - [*smithy.CanceledError] or [*aws.RequestCanceledError]: ctx ended.
//
// # Secrets
//
// Whoever holds a session's token holds the session. No value of this package
// prints a secret, in whatever way it is printed or encoded. The ways out have
// names: [Token.Reveal], [StreamURL.DialURL], [Client.HandshakeHeader],
// [ResumeSessionOutput.OpenMessage] and [ResumeSessionOutput.SecretJSON].
//
// # Limits
//
// The package does not start or end sessions, which the SDK's ssm package does.
// It does not open the WebSocket, and of the agent's protocol it knows the first
// message only: package datachannel does both.
package ssmresume
