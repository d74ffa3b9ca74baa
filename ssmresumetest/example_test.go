package ssmresumetest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/ssmresume/ssmresume"
	"github.com/ssmresume/ssmresume/ssmresumetest"
)

// A test of a program that resumes sessions. In a test function, t.Errorf stands
// in the place of fmt.Println.
func Example() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.AddSession("ana-0a1b")

	client := ssmresume.NewFromConfig(srv.Config()) // what the program under test would be given
	resume := func() error {
		_, err := client.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"})
		return err
	}
	fmt.Println("alive:", resume())

	srv.Terminate("ana-0a1b")
	var gone *ssmresume.DoesNotExistError
	fmt.Println("gone:", errors.As(resume(), &gone))
	fmt.Println("requests:", len(srv.Requests()))
	// Output:
	// alive: <nil>
	// gone: true
	// requests: 2
}

// Faults are ordered request by request. Here the first answer is a proxy's page
// and the second is lost; the client tries again each time.
func ExampleServer_SetRespond() {
	srv := ssmresumetest.NewServer()
	defer srv.Close()
	srv.SetRespond(func(ssmresumetest.Request) *ssmresumetest.Response {
		switch len(srv.Requests()) { // this one included
		case 1:
			return ssmresumetest.HTML(http.StatusBadGateway)
		case 2:
			return ssmresumetest.Reset()
		}
		return nil // as usual
	})

	client := ssmresume.NewFromConfig(srv.Config())
	out, err := client.ResumeSession(context.Background(), &ssmresume.ResumeSessionInput{SessionID: "ana-0a1b"})
	fmt.Println(out.SessionID, err, len(srv.Requests()))
	// Output: ana-0a1b <nil> 3
}
