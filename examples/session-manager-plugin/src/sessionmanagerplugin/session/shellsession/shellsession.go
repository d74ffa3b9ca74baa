// Package shellsession is empty: package session needs no import to know shells.
package shellsession
