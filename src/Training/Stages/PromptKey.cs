using System.Text.Json;

namespace Gradus.Training.Stages;

/// <summary>What makes two rows ask the same: the prompt as text, or the messages before the last answer, whatever the spaces between JSON's tokens.</summary>
internal static class PromptKey
{
    public static string Of(JsonElement row)
    {
        if (row.TryGetProperty("prompt", out var prompt)) return Text(prompt);
        if (row.TryGetProperty("messages", out var messages) && messages.ValueKind == JsonValueKind.Array)
        {
            var list = messages.EnumerateArray().ToList();
            if (list.Count > 0 && list[^1].TryGetProperty("role", out var role) && role.ValueEquals("assistant")) list.RemoveAt(list.Count - 1);
            return JsonSerializer.Serialize(list);
        }
        return row.TryGetProperty("text", out var text) ? Text(text) : JsonSerializer.Serialize(row);
    }

    private static string Text(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()!.Trim() : JsonSerializer.Serialize(value);
}
