module github.com/ssmresume/ssmresume/datachannel

go 1.26

replace github.com/ssmresume/ssmresume => ../
