package raftremote

import "google.golang.org/protobuf/encoding/protowire"

// The numbers of link.proto's fields, by message.
const (
	frameHello     protowire.Number = 1
	frameRefused   protowire.Number = 2
	frameGoAway    protowire.Number = 3
	frameSent      protowire.Number = 4
	framePing      protowire.Number = 5
	framePong      protowire.Number = 6
	frameEnvelopes protowire.Number = 7
	frameAnswers   protowire.Number = 8

	helloVersionMin    protowire.Number = 1
	helloVersionMax    protowire.Number = 2
	helloVersion       protowire.Number = 3
	helloCluster       protowire.Number = 4
	helloSystem        protowire.Number = 5
	helloStore         protowire.Number = 6
	helloAddress       protowire.Number = 7
	helloDialed        protowire.Number = 8
	helloLife          protowire.Number = 9
	helloBulk          protowire.Number = 10
	helloFrameBytesMax protowire.Number = 11

	// Of Refusal and GoAway.
	reasonCode protowire.Number = 1
	reasonText protowire.Number = 2

	envelopeGroup    protowire.Number = 1
	envelopeFrom     protowire.Number = 2
	envelopeTo       protowire.Number = 3
	envelopeMessages protowire.Number = 4
	envelopeRequests protowire.Number = 5
	envelopeChunk    protowire.Number = 6
	envelopeAck      protowire.Number = 7

	// Of Request and Answer.
	numberedNumber protowire.Number = 1
	numberedData   protowire.Number = 2

	messageTerm            protowire.Number = 1
	messageFromIncarnation protowire.Number = 2
	messageToIncarnation   protowire.Number = 3

	kindPreVote              protowire.Number = 4
	kindPreVoteReply         protowire.Number = 5
	kindRequestVote          protowire.Number = 6
	kindRequestVoteReply     protowire.Number = 7
	kindAppendEntries        protowire.Number = 8
	kindAppendEntriesReply   protowire.Number = 9
	kindHeartbeat            protowire.Number = 10
	kindHeartbeatReply       protowire.Number = 11
	kindInstallSnapshot      protowire.Number = 12
	kindInstallSnapshotReply protowire.Number = 13
	kindTimeoutNow           protowire.Number = 14
	kindReadIndexRequest     protowire.Number = 15
	kindReadIndexReply       protowire.Number = 16
	kindIncarnationRefusal   protowire.Number = 17

	appendPrevIndex protowire.Number = 1
	appendPrevTerm  protowire.Number = 2
	appendCommit    protowire.Number = 3
	appendLengths   protowire.Number = 4
	appendData      protowire.Number = 5
	appendRuns      protowire.Number = 6

	runBegin protowire.Number = 1
	runTerm  protowire.Number = 2
	runKind  protowire.Number = 3

	installMeta protowire.Number = 1

	metaIndex              protowire.Number = 1
	metaTerm               protowire.Number = 2
	metaConfiguration      protowire.Number = 3
	metaConfigurationIndex protowire.Number = 4

	refusalKnown protowire.Number = 1

	chunkOffer    protowire.Number = 1
	chunkTransfer protowire.Number = 2
	chunkOffset   protowire.Number = 3
	chunkSize     protowire.Number = 4
	chunkData     protowire.Number = 5
	chunkSum      protowire.Number = 6

	ackTransfer protowire.Number = 1
	ackReceived protowire.Number = 2
	ackDone     protowire.Number = 3
	ackFailed   protowire.Number = 4
)
