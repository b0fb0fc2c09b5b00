using System.Text.Json;
using System.Text.Json.Nodes;
using Gradus.Training;

namespace Gradus.Api.Chat;

/// <summary>The messages of a chat, checked, with text parts joined into one text as chat templates expect it.</summary>
internal static class ChatMessages
{
    private static readonly string[] roles = ["system", "developer", "user", "assistant", "tool"];

    /// <exception cref="InvalidInputException">The list is missing or empty, or a message is not a role with text.</exception>
    public static JsonElement Read(JsonFields fields, bool continues)
    {
        if (!fields.Has("messages", out var messages)) throw new InvalidInputException("The field \"messages\" is missing: a list of {\"role\", \"content\"}.", "messages", "missing");
        if (messages.ValueKind != JsonValueKind.Array) throw new InvalidInputException($"messages must be a list; {JsonFields.Kind(messages)} came.", "messages", "invalid_type");
        var count = messages.GetArrayLength();
        if (count is 0 or > ChatRequestReader.MaxMessages)
            throw new InvalidInputException($"messages must hold 1 to {ChatRequestReader.MaxMessages} messages; {count} came.", "messages", "out_of_range");
        var read = new JsonArray();
        foreach (var message in messages.EnumerateArray()) read.Add(Message(message, $"messages[{read.Count}]"));
        if (continues && read[^1]!["role"]!.GetValue<string>() != "assistant")
            throw new InvalidInputException("continue_final_message needs a last message of the role assistant.", "continue_final_message");
        return JsonSerializer.SerializeToElement(read);
    }

    private static JsonObject Message(JsonElement message, string path)
    {
        if (message.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"{path} must be an object; {JsonFields.Kind(message)} came.", path, "invalid_type");
        var fields = new JsonFields(message, path + ".");
        var role = fields.Text("role") ?? throw new InvalidInputException($"{path}.role is missing; allowed are {string.Join(", ", roles)}.", $"{path}.role", "missing");
        if (!roles.Contains(role)) throw new InvalidInputException($"{path}.role must be one of {string.Join(", ", roles)}; '{role}' came.", $"{path}.role", "unknown_value");
        var read = new JsonObject();
        foreach (var field in message.EnumerateObject()) if (field.Value.ValueKind != JsonValueKind.Null) read[field.Name] = JsonNode.Parse(field.Value.GetRawText());
        // Templates know "system"; "developer" is its later name.
        read["role"] = role == "developer" ? "system" : role;
        read["content"] = Content(fields, path, role, message.TryGetProperty("tool_calls", out _));
        return read;
    }

    private static string Content(JsonFields fields, string path, string role, bool calls)
    {
        if (!fields.Has("content", out var content))
            return role == "assistant" || calls ? "" : throw new InvalidInputException($"{path}.content is missing: a text, or a list of parts of type text.", $"{path}.content", "missing");
        if (content.ValueKind == JsonValueKind.String) return content.GetString()!;
        if (content.ValueKind != JsonValueKind.Array) throw new InvalidInputException($"{path}.content must be a text or a list of parts; {JsonFields.Kind(content)} came.", $"{path}.content", "invalid_type");
        var place = 0;
        return string.Concat(content.EnumerateArray().Select(part =>
        {
            var where = $"{path}.content[{place++}]";
            if (part.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"{where} must be an object; {JsonFields.Kind(part)} came.", where, "invalid_type");
            var partFields = new JsonFields(part, where + ".");
            if (partFields.Text("type") is var type && type != "text")
                throw new InvalidInputException($"{where}.type must be \"text\" (the models here read nothing else); {(type is null ? "nothing" : $"'{type}'")} came.", $"{where}.type", "unsupported_parameter");
            return partFields.Text("text") ?? throw new InvalidInputException($"{where}.text is missing.", $"{where}.text", "missing");
        }));
    }
}
