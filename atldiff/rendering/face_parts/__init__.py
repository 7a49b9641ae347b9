"""What a warp cannot show: the inside of the mouth, closed lips and closed eyes."""
