/*
 * layer_main.c - linked with one layer whole and the layers below it: that it links is the test.
 */
int main(void)
{
	return 0;
}
