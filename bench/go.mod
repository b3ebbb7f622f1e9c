module example.com/raftactor/bench

go 1.26

require example.com/raftactor v0.0.0

replace example.com/raftactor => ../
