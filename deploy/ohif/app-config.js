// OHIF shows what the local PACS has, by DICOMweb under its own address; it asks no other host for anything.
window.config = {
  name: 'heatproof',
  routerBasename: '/',
  extensions: [],
  modes: [],
  customizationService: {
    // OHIF 3.13 fails on a measurement group without coordinates, as that of a whole series or of a withheld map, and
    // shows nothing of the report: such a group gets an empty place, which it passes over.
    onBeforeSRAddMeasurement: {
      $set: ({ measurement }) =>
        measurement.coords.length ? measurement : Object.assign(measurement, { coords: [{}] }),
    },
  },
  showStudyList: true,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false,
  strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: { option: 'always' },
  defaultDataSourceName: 'pacs',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'pacs',
      configuration: {
        friendlyName: 'Local PACS',
        name: 'pacs',
        wadoUriRoot: window.location.origin + '/dicom-web',
        qidoRoot: window.location.origin + '/dicom-web',
        wadoRoot: window.location.origin + '/dicom-web',
        qidoSupportsIncludeField: false,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        supportsReject: false,
        dicomUploadEnabled: false,
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
};
