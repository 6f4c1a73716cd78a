/* SPDX-License-Identifier: MIT */
/* Imports one function of the module and name that it is compiled with. */
__attribute__((import_module(MODULE), import_name(NAME))) void imported(void);

int main(void)
{
	imported();
	return 0;
}
