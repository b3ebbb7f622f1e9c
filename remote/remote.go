package raftremote

import _ "google.golang.org/grpc" // until the link is here
