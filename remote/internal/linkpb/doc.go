// Package linkpb is what protoc makes of link.proto. The link writes and reads its frames by hand; its tests hold that
// against this package, and others may read what a link has carried with it.
package linkpb
