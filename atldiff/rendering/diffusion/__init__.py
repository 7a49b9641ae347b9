"""The diffusion model of the residual: guided noise (Eq. 5), the 3D Identity U-Net and DDIM sampling."""
