// Package portsession is empty: package session needs no import to know ports.
package portsession
