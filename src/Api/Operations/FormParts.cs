using Gradus.Training;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace Gradus.Api.Operations;

/// <summary>The parts of a multipart form, one after the other, as they come.</summary>
internal static class FormParts
{
    /// <exception cref="InvalidInputException">The form is damaged.</exception>
    public static async IAsyncEnumerable<FormPart> ReadAsync(HttpContext context)
    {
        var boundary = HeaderUtilities.RemoveQuotes(MediaTypeHeaderValue.Parse(context.Request.ContentType).Boundary).Value;
        if (string.IsNullOrEmpty(boundary) || boundary.Length > 200) throw new InvalidInputException("The header Content-Type needs a boundary for multipart/form-data.", "Content-Type");
        var reader = new MultipartReader(boundary, context.Request.Body);
        while (await NextAsync(reader, context.RequestAborted) is { } section)
        {
            var known = ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out var disposition);
            yield return new FormPart(known ? HeaderUtilities.RemoveQuotes(disposition!.Name).Value : null, known ? HeaderUtilities.RemoveQuotes(disposition!.FileName).Value : null, section.Body);
        }
    }

    private static async Task<MultipartSection?> NextAsync(MultipartReader reader, CancellationToken cancel)
    {
        try
        {
            return await reader.ReadNextSectionAsync(cancel);
        }
        catch (Exception wrong) when (wrong is InvalidDataException or IOException and not BadHttpRequestException)
        {
            throw new InvalidInputException($"The form cannot be read: {wrong.Message}", null, "invalid_form");
        }
    }
}

/// <param name="FileName">As the client calls the file; null for a field.</param>
internal sealed record FormPart(string? Name, string? FileName, Stream Content)
{
    private const int LongestField = 4096;

    /// <summary>A short field's text.</summary>
    public async Task<string> TextAsync()
    {
        var bytes = new byte[LongestField + 1];
        var count = await Content.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false);
        return count <= LongestField ? System.Text.Encoding.UTF8.GetString(bytes, 0, count) : throw new InvalidInputException($"'{Name}' is longer than {LongestField:N0} bytes.", Name, "out_of_range");
    }
}
