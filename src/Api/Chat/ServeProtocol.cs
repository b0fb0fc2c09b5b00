// What goes over the socket between the service and its serve child: JSON lines, one request a connection, then events until the connection closes.
using System.Text.Json;
using System.Text.Json.Serialization;
using Gradus.Training.Inference;

namespace Gradus.Api.Chat;

/// <param name="Op"><c>chat</c> or <c>status</c>; the latter needs nothing else.</param>
/// <param name="Folder">The model's folder.</param>
/// <param name="Base">The folder of an adapter's base; null where the model is whole.</param>
/// <param name="TemplateArguments">More variables for the chat template.</param>
/// <param name="Seed">Sequence i draws by the key of (seed, "chat", 0, i).</param>
internal sealed record ServeRequest(
    string Op, string Folder = "", string? Base = null, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)] JsonElement Messages = default, bool ContinueFinalMessage = false,
    int? MaxTokens = null, SamplingOptions? Sampling = null, IReadOnlyList<string>? Stop = null, int Count = 1, long Seed = 0, int? TopLogProbs = null, JsonElement? TemplateArguments = null);

/// <param name="Type"><c>start</c>, <c>token</c>, <c>error</c>, <c>end</c> or <c>status</c>.</param>
internal sealed record ServeEvent(string Type)
{
    /// <summary>start: tokens of the prompt.</summary>
    public int PromptTokens { get; init; }

    /// <summary>start: the prompt ends within a reasoning that it opened.</summary>
    public bool OpensReasoning { get; init; }

    /// <summary>token: which choice it belongs to.</summary>
    public int Index { get; init; }

    /// <summary>token: what it adds to the text (often nothing, where a character or a stop text is not yet whole).</summary>
    public string Text { get; init; } = "";

    /// <summary>token: tokens of the prompt that stood in the cache.</summary>
    public int CachedTokens { get; init; }

    /// <summary>token: the token itself, where log-probabilities were asked for.</summary>
    public ServeLogProb? LogProb { get; init; }

    public IReadOnlyList<ServeLogProb>? Top { get; init; }

    /// <summary>token: set with a choice's last.</summary>
    public string? FinishReason { get; init; }

    /// <summary>error: 400 with message, parameter and code, or 500.</summary>
    public int Status { get; init; }

    public string? Message { get; init; }

    public string? Param { get; init; }

    public string? Code { get; init; }

    /// <summary>status: the loaded models.</summary>
    public IReadOnlyList<ModelStatus>? Models { get; init; }

    /// <summary>status: connections that are open, this one included.</summary>
    public int Connections { get; init; }
}

internal sealed record ServeLogProb(string Token, float LogProb);

internal static class ServeProtocol
{
    private static readonly JsonSerializerOptions options = new(JsonSerializerDefaults.Web)
    {
        // Not what is its type's default: a temperature of 0 would come out as the 1 that is left out.
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        MaxDepth = 256,
    };

    public static byte[] Line<T>(T message) => [.. JsonSerializer.SerializeToUtf8Bytes(message, options), (byte)'\n'];

    /// <summary>The next message; null where the other side has ended.</summary>
    public static async Task<T?> ReadAsync<T>(StreamReader reader, CancellationToken cancel)
        where T : class => await reader.ReadLineAsync(cancel) is { } line ? JsonSerializer.Deserialize<T>(line, options) : null;
}
