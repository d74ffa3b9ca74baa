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
// is the handle by which the test orders faults: [Session.CloseChannel],
// [Session.Cut], [Session.SetFilter] for messages lost, doubled or out of order,
// and SetNetwork of the server.
//
// The agent numbers, acknowledges, repeats and pauses as the public sources of
// amazon-ssm-agent do, and is held to recordings of the real one. What AWS's own
// gateway does was never seen; this one plays what is known, and options play the
// rest.
package datachanneltest
