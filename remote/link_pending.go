package raftremote

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"example.com/raftactor/node"
)

type linkConfig struct {
	cluster, system, address       string
	store, life                    uint64
	creds                          credentials.TransportCredentials
	dial                           func(ctx context.Context, address string) (net.Conn, error)
	queueBytesMax, commandBytesMax int
	peerTimeout                    time.Duration
	logger                         hclog.Logger
	publish                        func(event any) bool
}

type links struct{}

func newLinks(linkConfig) *links { return &links{} }

func (*links) Join(group string, id node.ID, _ node.Inbox) (node.Link, error) {
	return nil, fmt.Errorf("no link for %q/%d", group, id)
}

func (*links) serve(any, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "no link")
}
func (*links) stop()                               {}
func (*links) hosts(group string, id node.ID) bool { return false }

type rawFrame struct{}

type rawCodec struct{}

func (rawCodec) Marshal(any) (mem.BufferSlice, error) { return nil, nil }
func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (rawCodec) Name() string                         { return "proto" }
