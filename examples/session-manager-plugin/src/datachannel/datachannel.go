// Package datachannel has the names that a program gives to package session, and
// nothing behind them.
package datachannel

// IDataChannel is what a Session is given.
type IDataChannel any

// A DataChannel has nothing in it: the session makes its own.
type DataChannel struct{}
