return args switch
{
    _ => await RunServiceAsync(args),
};

static async Task<int> RunServiceAsync(string[] args)
{
    await using var app = WebApplication.CreateBuilder(args).Build();
    await app.RunAsync();
    return 0;
}
