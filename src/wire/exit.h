/*
 * exit.h
 *		How a helper program that leaves by itself says why.
 */
#ifndef IMGEXPORT_WIRE_EXIT_H
#define IMGEXPORT_WIRE_EXIT_H

#define EXIT_QUIET 0		  /* the server closed the socket, or nothing came for a while */
#define EXIT_OUT_OF_MEMORY 71 /* an allocation failed where no library can go on */
#define EXIT_SANDBOX 72		  /* --sandbox=require, and something is missing */
#define EXIT_PROTOCOL 73	  /* the server sent what is no message of this version */
#define EXIT_START 74		  /* a library would not start, or the arguments are wrong */

#endif
