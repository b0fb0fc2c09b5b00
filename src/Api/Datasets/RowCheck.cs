using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Training;

namespace Gradus.Api.Datasets;

/// <summary>
/// Whether a row is one that stages can use, in TRL's formats: <c>{"prompt","completion"}</c>, <c>{"prompt","answer"}</c>, <c>{"messages"}</c> or <c>{"text"}</c>.
/// A prompt is a text or a list of messages. Other fields are allowed: rewards read them (<c>language</c>). All rows of a dataset have one form.
/// </summary>
/// <param name="map">Makes rows of another form into such ones; null where they come as they are.</param>
internal sealed class RowCheck(RowMap? map)
{
    private static readonly string[] roles = ["system", "developer", "user", "assistant", "tool"];

    private string? firstForm;
    private long firstLine;

    /// <summary>What is wrong with the row; null when nothing is.</summary>
    public string? Wrong(JsonElement row, long line)
    {
        if (row.ValueKind != JsonValueKind.Object) return "A row must be a JSON object.";
        try
        {
            StorableJson.Check(row);
        }
        catch (InvalidInputException value)
        {
            return value.Message;
        }
        if (map is not null && Mapped(ref row) is { } unmapped) return unmapped;
        var (form, problem) = Form(row);
        if (problem is not null) return problem;
        firstLine = firstForm is null ? line : firstLine;
        firstForm ??= form;
        return form == firstForm ? null : $"This row has {form} where line {firstLine} has {firstForm}: all rows must have one form.";
    }

    private string? Mapped(ref JsonElement row)
    {
        try
        {
            row = map!.Apply(row);
            return null;
        }
        catch (InvalidInputException wrong)
        {
            return wrong.Message;
        }
    }

    private static (string Form, string? Problem) Form(JsonElement row)
    {
        if (row.TryGetProperty("messages", out var messages)) return ("messages", Messages(messages, "messages") ?? (EndsWithAnswer(messages) ? null : "The last of 'messages' must be of the role assistant: it is what is learned."));
        if (row.TryGetProperty("prompt", out var prompt))
        {
            if (Text(prompt, "prompt") is { } wrong) return ("prompt", wrong);
            if (row.TryGetProperty("completion", out var completion))
                return ("prompt and completion", Text(completion, "completion") ?? (completion.ValueKind == prompt.ValueKind ? null : "'prompt' and 'completion' must both be texts or both be lists of messages."));
            if (row.TryGetProperty("answer", out var answer))
                return ("prompt and answer", answer.ValueKind is JsonValueKind.String or JsonValueKind.Number && answer.ToString().Length > 0 ? null : "'answer' must be a text that is not empty.");
            return ("prompt", $"Beside 'prompt' a row needs 'completion' (to imitate) or 'answer' (to be checked against); this one has {Fields(row)}.");
        }
        if (row.TryGetProperty("text", out var text)) return ("text", text.ValueKind == JsonValueKind.String && text.GetString()!.Length > 0 ? null : "'text' must be a text that is not empty.");
        return ("", $"A row needs 'messages', 'prompt' with 'completion' or 'answer', or 'text', or a 'map' (before the file) that makes one of these; this one has {Fields(row)}.");
    }

    private static string? Text(JsonElement value, string name) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!.Length > 0 ? null : $"'{name}' is empty.",
        JsonValueKind.Array => Messages(value, name),
        _ => $"'{name}' must be a text or a list of messages.",
    };

    private static string? Messages(JsonElement messages, string name)
    {
        if (messages.ValueKind != JsonValueKind.Array || messages.GetArrayLength() == 0) return $"'{name}' must be a list of messages, not empty.";
        var index = 0;
        foreach (var message in messages.EnumerateArray())
        {
            var place = $"{name}[{index++}]";
            if (message.ValueKind != JsonValueKind.Object) return $"'{place}' must be an object with 'role' and 'content'.";
            if (!message.TryGetProperty("role", out var role) || role.ValueKind != JsonValueKind.String || !roles.Contains(role.GetString())) return $"'{place}.role' must be one of {string.Join(", ", roles)}.";
            if (!message.TryGetProperty("content", out var content) || content.ValueKind != JsonValueKind.String) return $"'{place}.content' must be a text.";
        }
        return null;
    }

    private static bool EndsWithAnswer(JsonElement messages) => messages.EnumerateArray().Last().GetProperty("role").GetString() == "assistant";

    internal static string Fields(JsonElement row) =>
        row.EnumerateObject().Select(field => field.Name.Length <= 40 ? field.Name : field.Name[..40] + "...").Take(10).ToList() is { Count: > 0 } names ? string.Join(", ", names) : "none";
}
