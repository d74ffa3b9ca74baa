// Package datachanneltest is Session Manager in a test process: the endpoint of
// package ssmresumetest, the gateway of the data channels, and an agent that
// speaks the real protocol and runs what the test gives it.
//
//	srv := datachanneltest.NewServer()
//	defer srv.Close()
//	first, session := srv.Start(datachanneltest.Options{Program: program})
//	client := ssmresume.NewFromConfig(srv.Config())
//
// first is what StartSession would have answered, for a client to open. session
// is the handle by which the test orders faults and sees what the agent sees.
//
// Most tests need no more than that, with [Session.CloseChannel] and SetNetwork of
// the embedded [ssmresumetest.Server]. A program that starts its sessions itself,
// such as the AWS CLI, gets them by [Server.SetStart]. For a program that only
// calls ResumeSession, package ssmresumetest alone is enough.
//
// # Faults
//
// The channel: [Session.CloseChannel], [Session.Cut], [Session.Terminate],
// [Session.DisconnectAgent]. The network under it: SetNetwork, ResetConnections
// and ForgetConnections of the embedded endpoint. Messages lost, doubled or out of
// order, such as each tenth acknowledgement of the client's:
//
//	session.SetFilter(func(m datachanneltest.Message) datachanneltest.Action {
//		if m.From == datachanneltest.Client && m.Type == "acknowledge" && m.Number%10 == 9 {
//			return datachanneltest.Drop
//		}
//		return datachanneltest.Deliver
//	})
//
// A WebSocket handshake that is refused, and calls as ever:
//
//	srv.SetRespond(func(r ssmresumetest.Request) *ssmresumetest.Response {
//		if strings.HasPrefix(r.Path, "/v1/data-channel/") {
//			return ssmresumetest.Raw(http.StatusForbidden, nil, "")
//		}
//		return nil
//	})
//
// # Time
//
// In a testing/synctest bubble a day takes a moment:
//
//	synctest.Test(t, func(t *testing.T) {
//		srv := datachanneltest.NewPipeServer()
//		defer srv.Close()
//		first, session := srv.Start(datachanneltest.Options{Program: idle})
//		ctx, cancel := context.WithCancel(t.Context())
//		ended := make(chan error)
//		go func() { ended <- hold(ctx, srv.Config(), first) }() // the program under test
//		for range 24 {
//			time.Sleep(time.Hour)
//			session.CloseChannel(1000, "Bye")
//		}
//		time.Sleep(time.Minute)
//		if n := session.Stats().Opened; n != 25 {
//			t.Errorf("%d channels in 24 hours", n)
//		}
//		cancel()
//		<-ended
//	})
//
// # What it is true to
//
// The agent numbers, acknowledges, repeats and pauses as the public sources of
// amazon-ssm-agent do, and is held to recordings of the real one. It is quicker:
// a shell prints at once, where the real agent takes a second, and it does not
// sleep after each KiB unless [Options] say so.
//
// What AWS's own gateway does was never seen. This one plays what is known, and
// Options play what is not.
package datachanneltest
