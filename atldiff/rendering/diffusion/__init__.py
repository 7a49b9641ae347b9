"""The network's part of a frame: guided noise (Eq. 5), the 3D Identity U-Net and DDIM sampling."""
