using System.Text.Json.Nodes;
using Gradus.Api.Chat;
using Gradus.Api.Operations;
using Gradus.Training.Model;
using Gradus.Training.Tasks;
using Gradus.Training.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Gradus.Api.Tests.Chat;

/// <summary>
/// The chat route on a real HTTP server with a real serve child, without a database: models are folders. <c>tiny</c> is the built-in model with random
/// weights and a context of 256; <c>long</c> the same with one so long that an answer takes its time;
/// the template of <c>thinking</c> opens the reasoning, that of <c>greedy</c> does not end.
/// </summary>
public sealed class ChatHost : IAsyncLifetime
{
    // As those of DeepSeek-R1 and, where thinking is off, of Qwen3.
    private const string ThinkingTemplate =
        "{% for m in messages %}{% if m.role == 'user' %}{{ 'User: ' + m.content + '\\n' }}{% elif m.role == 'tool' %}{{ raise_exception('No tools here.') }}" +
        "{% else %}{{ 'Assistant:' + m.content + eos_token }}{% endif %}{% endfor %}" +
        "{% if add_generation_prompt %}{{ 'Assistant:<think>\\n' }}{% if enable_thinking is defined and enable_thinking is false %}{{ '</think>\\n' }}{% endif %}{% endif %}";

    private readonly string folder = Directory.CreateTempSubdirectory("gradus-chat-").FullName;
    private WebApplication app = null!;

    public HttpClient Client { get; private set; } = null!;

    internal GradusSettings Settings { get; init; } = new();

    public Uri Address => Client.BaseAddress!;

    internal ServedModels Served => app.Services.GetRequiredService<ServedModels>();

    public Tokenizer Tokenizer { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        WriteModel("tiny", 256);
        WriteModel("long", 30_000);
        WriteModel("thinking", 256, ThinkingTemplate);
        WriteModel("greedy", 256, "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}");
        Tokenizer = Tokenizer.Load(Path.Combine(folder, "tiny"));
        var builder = WebApplication.CreateBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Error);
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var settings = Settings with { StateFolder = Path.Combine(folder, "state") };
        builder.Services.AddSingleton(settings).AddSingleton(TimeProvider.System).AddChat().AddSingleton<IModelFolders>(new Folders(folder));
        app = builder.Build();
        app.UseMiddleware<ErrorHandling>();
        app.MapChat();
        await app.StartAsync();
        Client = new HttpClient { BaseAddress = new Uri(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()) };
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await app.StopAsync();
        await app.DisposeAsync();
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>What the serve child says of itself.</summary>
    internal async Task<ServeEvent> StatusAsync(CancellationToken cancel)
    {
        await using var connection = await Served.SendAsync(new ServeRequest("status"), cancel);
        return (await connection.ReadAsync(cancel))!;
    }

    /// <summary>
    /// A body whose answer is written beforehand, token by token, each once, none of them in the prompt: each is biased below the one before, and what has
    /// been said is divided away.
    /// </summary>
    public JsonObject Scripted(string model, params string[] tokens)
    {
        var bias = new JsonObject();
        for (var i = 0; i < tokens.Length; i++) bias[$"{Tokenizer.TokenId(tokens[i])!.Value}"] = 100 - (10 * i);
        return new JsonObject
        {
            ["model"] = model,
            ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = "What is 1?" }),
            ["temperature"] = 0,
            ["repetition_penalty"] = 100,
            ["logit_bias"] = bias,
        };
    }

    private void WriteModel(string name, int positions, string? template = null)
    {
        var target = Path.Combine(folder, name);
        TinyModel.Write(target);
        using var model = CausalLm.Create(ModelConfig.Read(target) with { MaxPositions = positions }, 3);
        model.Save(target);
        if (template is not null) File.WriteAllText(Path.Combine(target, "chat_template.jinja"), template);
    }

    private sealed class Folders(string folder) : IModelFolders
    {
        public Task<StoredModel?> FindAsync(string idOrAlias, CancellationToken cancel) => Task.FromResult(idOrAlias is "tiny" or "long" or "thinking" or "greedy" ? new StoredModel(Path.Combine(folder, idOrAlias), null) : null);
    }
}
