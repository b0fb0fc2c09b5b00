using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.Unicode;
using Gradus.Training;

namespace Gradus.Api.Operations;

/// <summary>
/// Reads a JSON body strictly: what does not parse is refused with its place, an unknown, repeated, missing or mistyped field by name. (The
/// framework's own binding would say less, and later.)
/// </summary>
internal static class JsonBody
{
    /// <summary>How deep a body may nest; bounded before anything recurses over it.</summary>
    public const int MaxDepth = 64;

    private static readonly JsonDocumentOptions strict = new() { MaxDepth = MaxDepth, AllowDuplicateProperties = false };

    /// <summary>The body as <typeparamref name="T"/>, a record whose parameters without a default are required.</summary>
    /// <exception cref="ApiException">415: it is not application/json.</exception>
    /// <exception cref="InvalidInputException">It does not parse, or a field is wrong.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext context)
    {
        RequireType(context.Request, "application/json");
        return Bind<T>(Parse(await ReadBytesAsync(context)));
    }

    /// <summary>415 unless the body's type is one of those; parameters such as the charset do not matter.</summary>
    public static string RequireType(HttpRequest request, params string[] allowed)
    {
        var type = request.ContentType?.Split(';')[0].Trim().ToLowerInvariant();
        if (type is not null && allowed.Contains(type)) return type;
        throw new ApiException(415, $"The header Content-Type must be {string.Join(" or ", allowed)}; {(type is null ? "there is none" : $"'{type}' came")}.", "Content-Type", "unsupported_media_type");
    }

    /// <summary>The whole body; its size is bounded by the server (413).</summary>
    public static async Task<byte[]> ReadBytesAsync(HttpContext context)
    {
        using var bytes = new MemoryStream((int)Math.Min(context.Request.ContentLength ?? 0, 1 << 20));
        await context.Request.Body.CopyToAsync(bytes, context.RequestAborted);
        return bytes.ToArray();
    }

    /// <exception cref="InvalidInputException">With the line (from 1) and the byte in it (from 1).</exception>
    public static JsonElement Parse(byte[] utf8)
    {
        if (utf8.Length == 0) throw new InvalidInputException("The body is empty; a JSON object is expected.", null, "invalid_json");
        if (!Utf8.IsValid(utf8)) throw new InvalidInputException("The body is not UTF-8.", null, "invalid_json");
        try
        {
            var root = JsonElement.Parse(utf8, strict);
            StorableJson.Check(root);
            return root;
        }
        catch (JsonException wrong)
        {
            throw new InvalidInputException($"The body is not valid JSON: {Place(wrong)}", null, "invalid_json");
        }
    }

    /// <summary>"line 3, byte 14: what is wrong": the parser counts from 0, people from 1.</summary>
    public static string Place(JsonException wrong)
    {
        var message = wrong.Message.Split(" LineNumber:")[0].Split(" Path:")[0].Replace(" Change the reader options.", "", StringComparison.Ordinal);
        return wrong.LineNumber is { } line ? $"line {line + 1}, byte {wrong.BytePositionInLine + 1}: {message}" : message;
    }

    private static T Bind<T>(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object) throw new InvalidInputException($"The body must be a JSON object; {Kind(root)} came.", null, "invalid_type");
        var known = Wire.Options.GetTypeInfo(typeof(T)).Properties;
        foreach (var field in root.EnumerateObject())
        {
            var property = known.FirstOrDefault(property => property.Name == field.Name)
                ?? throw new InvalidInputException($"Unknown field '{field.Name}'; allowed are {string.Join(", ", known.Select(property => property.Name))}.", field.Name, "unknown_field");
            Require(property, field.Value);
        }
        foreach (var property in known)
            if (property.IsRequired && !root.TryGetProperty(property.Name, out _))
                throw new InvalidInputException($"The field '{property.Name}' is missing: {Expected(property.PropertyType)}.", property.Name, "missing");
        return root.Deserialize<T>(Wire.Options)!;
    }

    private static void Require(JsonPropertyInfo property, JsonElement value)
    {
        try
        {
            if (value.ValueKind == JsonValueKind.Null ? property.IsSetNullable || property.PropertyType == typeof(JsonElement) : value.Deserialize(property.PropertyType, Wire.Options) is not null) return;
        }
        catch (JsonException)
        {
            // Said below, with the name and what is expected.
        }
        throw new InvalidInputException($"'{property.Name}' must be {Expected(property.PropertyType)}; {Kind(value)} came.", property.Name, "invalid_type");
    }

    private static string Expected(Type type)
    {
        var kind = Nullable.GetUnderlyingType(type) ?? type;
        if (kind == typeof(string)) return "a text";
        if (kind == typeof(bool)) return "true or false";
        if (kind == typeof(int)) return $"an integer from {int.MinValue} to {int.MaxValue}";
        if (kind == typeof(long)) return $"an integer from {long.MinValue} to {long.MaxValue}";
        return typeof(System.Collections.IEnumerable).IsAssignableFrom(kind) ? "a list" : "a value";
    }

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => $"the number {(value.GetRawText() is { Length: <= 40 } raw ? raw : "of many digits")}",
        JsonValueKind.Null => "null",
        _ => value.GetRawText(),
    };
}
