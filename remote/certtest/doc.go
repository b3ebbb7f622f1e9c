// Package certtest makes throw-away certificates, to try mutual TLS with: in tests, and in examples. They are valid for a
// day, and nothing keeps the authority's key.
package certtest
