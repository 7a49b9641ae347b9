"""Draws the parts that a warp cannot show: the inside of the mouth, closed lips and closed eyes."""
