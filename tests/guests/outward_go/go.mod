module outward_go

go 1.21
