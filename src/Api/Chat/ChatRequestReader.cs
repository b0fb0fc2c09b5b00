// Reads the body of /v1/chat/completions. Ranges are OpenAI's. Fields that OpenAI documents and that change the answer in a way we cannot honour are
// refused by name; fields that change nothing, or that we do not know, are ignored and counted.
using System.Text.Json;
using Gradus.Training;
using Gradus.Training.Inference;

namespace Gradus.Api.Chat;

internal static class ChatRequestReader
{
    public const int MaxCount = 128, MaxStops = 4, MaxStopLength = 1000, MaxTopLogProbs = 20, MaxMessages = 10_000;

    private static readonly HashSet<string> known =
    [
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "stop", "n", "seed",
        "presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "modalities",
        "add_generation_prompt", "continue_final_message", "tool_choice", "store", "reasoning_effort", "chat_template_kwargs",
    ];

    // Null, an empty list and "none" ask for nothing and pass.
    private static readonly string[] refused =
        ["tools", "functions", "function_call", "audio", "prediction", "web_search_options", "verbosity", "prompt", "echo", "best_of", "suffix"];

    /// <exception cref="InvalidInputException">A field is missing, of the wrong kind, out of range, or cannot be honoured.</exception>
    public static ChatRequest Read(JsonElement body)
    {
        if (body.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"The body must be a JSON object; {JsonFields.Kind(body)} came.", null, "invalid_type");
        var fields = new JsonFields(body);
        foreach (var name in refused)
            if (fields.Has(name, out var value) && !AsksForNothing(value)) throw Refused(name, "leave it out");
        if (fields.Has("tool_choice", out var choice) && !AsksForNothing(choice)) throw Refused("tool_choice", "\"none\"");
        if (fields.Has("reasoning_effort", out _)) throw Refused("reasoning_effort", "leave it out");
        if (fields.Flag("store") == true) throw Refused("store", "false");
        if (fields.Has("response_format", out var format) && !(format.ValueKind == JsonValueKind.Object && format.TryGetProperty("type", out var type) && type.ValueEqualsText("text")))
            throw Refused("response_format", "{\"type\":\"text\"}");
        if (fields.Has("modalities", out var modalities) && !(modalities.ValueKind == JsonValueKind.Array && modalities.EnumerateArray().All(one => one.ValueEqualsText("text"))))
            throw Refused("modalities", "[\"text\"]");

        var stream = fields.Flag("stream") ?? false;
        var logProbs = fields.Flag("logprobs") ?? false;
        var top = fields.Integer("top_logprobs", 0, MaxTopLogProbs);
        if (top is not null && !logProbs) throw new InvalidInputException("top_logprobs needs \"logprobs\": true.", "top_logprobs");
        var includeUsage = false;
        if (fields.Has("stream_options", out var options))
        {
            if (!stream) throw new InvalidInputException("stream_options needs \"stream\": true.", "stream_options");
            if (options.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"stream_options must be an object; {JsonFields.Kind(options)} came.", "stream_options", "invalid_type");
            includeUsage = new JsonFields(options, "stream_options.").Flag("include_usage") ?? false;
        }
        var continues = fields.Flag("continue_final_message") ?? false;
        if (fields.Flag("add_generation_prompt") is { } adds && adds == continues)
            throw new InvalidInputException("add_generation_prompt must be the opposite of continue_final_message: the model writes a new message, or goes on with the last.", "add_generation_prompt");
        var maxTokens = fields.Integer("max_completion_tokens", 1, int.MaxValue);
        var older = fields.Integer("max_tokens", 1, int.MaxValue);
        return new ChatRequest(
            fields.Text("model") ?? throw new InvalidInputException("The field \"model\" is missing: a model's id or alias (GET /v1/models lists them).", "model", "missing"),
            ChatMessages.Read(fields, continues), continues, (int?)(maxTokens ?? older), Sampling(fields), Stops(fields), (int)(fields.Integer("n", 1, MaxCount) ?? 1),
            fields.Integer("seed", long.MinValue, long.MaxValue), stream, includeUsage, logProbs ? (int)(top ?? 0) : null,
            [.. body.EnumerateObject().Select(field => field.Name).Where(name => !known.Contains(name) && !refused.Contains(name))], TemplateArguments(fields));
    }

    private static JsonElement? TemplateArguments(JsonFields fields)
    {
        if (!fields.Has("chat_template_kwargs", out var value)) return null;
        if (value.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"chat_template_kwargs must be an object; {JsonFields.Kind(value)} came.", "chat_template_kwargs", "invalid_type");
        return value;
    }

    private static SamplingOptions Sampling(JsonFields fields) => new()
    {
        Temperature = fields.Number("temperature", 0, 2) ?? 1,
        TopP = fields.Number("top_p", 0, 1, lowIsOutside: true) ?? 1,
        // -1 is the usual way to say "all" elsewhere.
        TopK = (int)Math.Max(0, fields.Integer("top_k", -1, int.MaxValue) ?? 0),
        MinP = fields.Number("min_p", 0, 1) ?? 0,
        PresencePenalty = fields.Number("presence_penalty", -2, 2) ?? 0,
        FrequencyPenalty = fields.Number("frequency_penalty", -2, 2) ?? 0,
        RepetitionPenalty = fields.Number("repetition_penalty", 0.01, 100) ?? 1,
        LogitBias = Bias(fields),
    };

    private static Dictionary<int, double>? Bias(JsonFields fields)
    {
        if (!fields.Has("logit_bias", out var value)) return null;
        if (value.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"logit_bias must be an object of token ids and numbers; {JsonFields.Kind(value)} came.", "logit_bias", "invalid_type");
        var (bias, numbers) = (new Dictionary<int, double>(), new JsonFields(value, "logit_bias."));
        foreach (var field in value.EnumerateObject())
        {
            if (!int.TryParse(field.Name, out var token) || token < 0) throw new InvalidInputException($"logit_bias is keyed by token ids; '{field.Name}' came.", "logit_bias");
            if (numbers.Number(field.Name, -100, 100) is { } number) bias[token] = number;
        }
        return bias;
    }

    private static IReadOnlyList<string> Stops(JsonFields fields)
    {
        if (!fields.Has("stop", out var value)) return [];
        var wrong = new InvalidInputException($"stop must be a text or a list of at most {MaxStops} texts, each of 1 to {MaxStopLength} characters.", "stop", "out_of_range");
        if (value.ValueKind is not (JsonValueKind.String or JsonValueKind.Array)) throw wrong;
        JsonElement[] items = value.ValueKind == JsonValueKind.Array ? [.. value.EnumerateArray()] : [value];
        if (items.Length > MaxStops || items.Any(item => item.ValueKind != JsonValueKind.String || item.GetString()!.Length is 0 or > MaxStopLength)) throw wrong;
        return [.. items.Select(item => item.GetString()!)];
    }

    private static bool AsksForNothing(JsonElement value) =>
        (value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0) || value.ValueEqualsText("none");

    private static InvalidInputException Refused(string name, string instead) =>
        new($"'{name}' cannot be honoured here; {(instead == "leave it out" ? instead : $"allowed is {instead}")}.", name, "unsupported_parameter");
}
