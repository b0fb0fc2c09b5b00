using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Gradus.Api.Operations;

namespace Gradus.Api.Chat;

/// <summary>Begins a chat: finds the model, hands the request to the serve child, and waits for its start, so that what is wrong is known before anything is sent.</summary>
internal sealed class ChatService(ServedModels served, IModelFolders models, TimeProvider time, ILogger<ChatService> log)
{
    private static readonly Meter meter = new("Gradus.Chat");
    private static readonly Counter<long> requests = meter.CreateCounter<long>("gradus.chat.requests", description: "Chats begun.");
    private static readonly Counter<long> ignored = meter.CreateCounter<long>("gradus.chat.ignored_fields", description: "Fields of chat requests that mean nothing here.");

    private readonly ConcurrentDictionary<string, string> names = [];

    /// <summary>What the loaded models do, each under the name by which it was last asked for.</summary>
    public async Task<ChatStatus> StatusAsync(CancellationToken cancel) => new(
    [
        .. (await served.StatusAsync(cancel)).Select(model => new ChatModelStatus(
            names.GetValueOrDefault(model.Folder, ""), model.Kernel, model.Running, model.Waiting, model.PeakRunning, model.PrefilledTokens, model.CachedTokens, model.SampledTokens, model.PutBack,
            model.CacheBytes, model.PeakCacheBytes)),
    ]);

    /// <exception cref="Gradus.Training.InvalidInputException">The model cannot answer that.</exception>
    /// <exception cref="ApiException">404: no such model. 503: the serve child died.</exception>
    public async Task<ChatRun> StartAsync(ChatRequest request, CancellationToken cancel)
    {
        var stored = await models.FindAsync(request.Model, cancel)
            ?? throw new ApiException(StatusCodes.Status404NotFound, $"There is no model '{request.Model}'; GET /v1/models lists them.", "model", "model_not_found");
        names[stored.Folder] = request.Model;
        requests.Add(1);
        ignored.Add(request.Ignored.Count);
        if (request.Ignored.Count > 0) log.LogDebug("Chat fields ignored: {Fields}", string.Join(", ", request.Ignored.Take(20)));
        var seed = request.Seed ?? BitConverter.ToInt64(RandomNumberGenerator.GetBytes(8));
        var connection = await served.SendAsync(
            new ServeRequest(
                "chat", stored.Folder, stored.Base, request.Messages, request.ContinueFinalMessage, request.MaxTokens, request.Sampling, request.Stop, request.Count, seed, request.TopLogProbs, request.TemplateArguments),
            cancel);
        try
        {
            var start = await connection.ReadAsync(cancel) ?? throw ServedModels.Unavailable();
            var id = $"chatcmpl-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(12))}";
            return new ChatRun(id, Wire.Seconds(time.GetUtcNow()), request, start, connection);
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }
}

/// <summary>A chat that the model has begun to answer. Disposing it early frees its place in the batch.</summary>
internal sealed class ChatRun(string id, long created, ChatRequest request, ServeEvent start, ServeConnection connection) : IAsyncDisposable
{
    public string Id { get; } = id;

    public long Created { get; } = created;

    public ChatRequest Request { get; } = request;

    public IReadOnlyList<ChoiceText> Choices { get; } = [.. Enumerable.Range(0, request.Count).Select(index => new ChoiceText(index, start.OpensReasoning))];

    private int cached;

    /// <summary>The tokens as they come, each already taken into its choice.</summary>
    public async IAsyncEnumerable<(ChoiceText Choice, ChoiceDelta Delta)> TokensAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancel)
    {
        await foreach (var token in connection.ReadAllAsync(cancel))
        {
            cached = token.CachedTokens;
            yield return (Choices[token.Index], Choices[token.Index].Take(token));
        }
    }

    public ChatUsage Usage()
    {
        var completion = Choices.Sum(choice => choice.Tokens);
        return new ChatUsage(
            start.PromptTokens, completion, start.PromptTokens + completion, new ChatPromptDetails(cached), new ChatCompletionDetails(Choices.Sum(choice => choice.ReasoningTokens)));
    }

    public ValueTask DisposeAsync() => connection.DisposeAsync();
}
