package main

func isProcess() bool { return false }
func asProcess()      {}
